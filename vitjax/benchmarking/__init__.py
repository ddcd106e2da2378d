"""How fast vitjax is, beside what a user would pick instead, measured in one run."""
