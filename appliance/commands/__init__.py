"""What the command line offers besides the daemon. Each module is imported only when its command runs."""
