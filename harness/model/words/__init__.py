"""The words of each subject in scenarios and plans: its steps, its expectations, its options."""
