"""What Prometheus is told, and the dashboard on it."""
