"""The harness tests itself: real runs are damaged on purpose, and every verdict must be the right one."""
