"""A run again, with write watchpoints: who wrote over the table?"""
