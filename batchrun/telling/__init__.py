"""What is told of jobs and runs without carrying one out: examined, forecast, checked, reported, held against a bill."""
