/**
 * Runs a Redis server for as long as any process holds the other end of its standard input.
 *
 * The launcher, the servers and the workers all hold that end. A line on it, or the end of the last holder (also by kill -9), stops
 * Redis with SIGTERM: it saves and leaves. A Redis that dies is started again with the same settings, on the same data, unless the settings
 * are gone: then another start has taken the data. If it dies again within seconds, the next start waits longer, up to 5 s.
 * It is a shell script because it has to stay small, and it is written next to the data because a shell reads its script as it runs: an
 * update of the package must not change it while it runs.
 *
 * Environment: GUARDED_REDIS is the program, GUARDED_REDIS_CONF its settings. Output: `started <pid>` and `ended <exit code>`.
 */
export const GUARD_SCRIPT = `#!/bin/sh
# Written by InferQL at each start: see launcher/redis/restart-guard.ts.

# Signals of the terminal are not for it, nor for Redis, which inherits this; nor is a launcher that has stopped reading.
trap '' HUP INT PIPE
exec 3<&0 </dev/null

stopping=
redis=
trap 'stopping=yes; [ -z "$redis" ] || kill -TERM "$redis" 2>/dev/null' TERM USR1

# A read in the main shell would keep it from seeing Redis' end.
(read -r _ <&3; kill -USR1 $$ 2>/dev/null) >/dev/null &
reader=$!

delay=0.3
while [ -z "$stopping" ] && [ -e "$GUARDED_REDIS_CONF" ]; do
  started=$(date +%s)
  # Not by its path: Redis takes brackets and stars in it for a pattern.
  "$GUARDED_REDIS" - 3<&- <"$GUARDED_REDIS_CONF" >/dev/null &
  redis=$!
  echo "started $redis"
  [ -z "$stopping" ] || kill -TERM "$redis" 2>/dev/null
  wait "$redis"
  code=$?
  # A signal ends the wait early.
  while kill -0 "$redis" 2>/dev/null; do
    wait "$redis"
    code=$?
  done
  redis=
  echo "ended $code"
  [ $(($(date +%s) - started)) -lt 10 ] || delay=0.3
  if [ -z "$stopping" ]; then
    # A signal ends only a wait. Some systems' sleep takes whole seconds only.
    (sleep $delay || sleep 1) >/dev/null 2>&1 3<&- &
    wait $!
  fi
  case $delay in 0.3) delay=1 ;; 1) delay=2 ;; *) delay=5 ;; esac
done
kill "$reader" 2>/dev/null
exit 0
`;
