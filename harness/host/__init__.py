"""What this machine has: programs, accelerator, speed; looked up once, nothing judged."""
