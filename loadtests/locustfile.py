"""The front door for Locust: `locust -f loadtests/locustfile.py --host http://127.0.0.1:8000`.

Which jobs and which plan: the class below, or `--spec` and `--plan`. Keys come from the environment
variable that the contract names. Subclass `JobUser` in a locustfile of your own to change anything.
"""

from wireproof.load.users import JobUser


class Jobs(JobUser):
    """Submits, polls and fetches the jobs of a plan."""

    spec = "segmind/p-image"
    plan = "smoke"
