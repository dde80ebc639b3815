"""The council: several models on one problem, what they propose tried for real, and what it was good for."""
