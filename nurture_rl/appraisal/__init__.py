"""The one judge of policies: checks, estimates, risks and the verdict, in one typed record."""
