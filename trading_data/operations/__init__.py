"""What keeps the system well: maintenance of chunks, health, alerts, backups, the doctor, the exporter.

Belongs here: duties that are not on the way of a row. Does not: when they run (`orchestration`).
"""
