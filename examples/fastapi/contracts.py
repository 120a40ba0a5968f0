"""What the web service and the worker share: a task's name and signature, and how its jobs are retried."""

from drover_client import RetryPolicy, task_ref


@task_ref("users.process", retry=RetryPolicy(max_attempts=4, initial_delay=60), hard_time_limit=300)
def process_user(user_id: int) -> dict[str, int]: ...
