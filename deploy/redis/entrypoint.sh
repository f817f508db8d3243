#!/bin/sh
# Writes the file of users with the SHA-256 of each password, then starts the server in its place.
# The passwords are in the files $SECRETS/redis_feed, redis_trader, redis_archiver, redis_backup.
set -eu
umask 077
secrets=${SECRETS:-/run/secrets}
template=${USERS_TEMPLATE:-/etc/redis/users.acl}
users=${USERS:-/run/redis/users.acl}
filled=$(cat "$template")
for user in feed trader archiver backup; do
    password=$(cat "$secrets/redis_$user" 2>/dev/null || true)
    if [ -z "$password" ]; then
        echo "the password of the Redis user $user is missing: write it to $secrets/redis_$user" >&2
        exit 1
    fi
    hash=$(printf %s "$password" | sha256sum | cut -d ' ' -f 1)
    filled=$(printf '%s\n' "$filled" | sed "s/{$user}/#$hash/")
done
printf '%s\n' "$filled" > "$users"
exec "${SERVER:-redis-server}" "${CONFIG:-/etc/redis/redis.conf}" --aclfile "$users" "$@"
