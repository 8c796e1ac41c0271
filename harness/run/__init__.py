"""From a scenario to a verdict: prepare, plan, run, record, judge."""
