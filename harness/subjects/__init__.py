"""What is tested, a room a subject: its rules are pure, its acts have the effects."""
