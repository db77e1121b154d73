import { ReplyError } from 'ioredis';
import { expect, test } from 'vitest';
import { callRedis } from './errors.ts';

const rejectWith = (error: Error) => callRedis(() => Promise.reject(error));

test.each([
  "OOM command not allowed when used memory > 'maxmemory'.",
  "ERR Error running script (call to f_1): @user_script:9: OOM command not allowed when used memory > 'maxmemory'.",
  "READONLY You can't write against a read only replica. script: 1, on @user_script:9.",
  'LOADING Redis is loading the dataset in memory',
  "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
  'CLUSTERDOWN Hash slot not served',
  'NOREPLICAS Not enough good replicas to write. script: 1, on @user_script:9.',
  'MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk.',
  'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
  'ERR max number of clients reached',
  'NOAUTH Authentication required.',
  'WRONGPASS invalid username-password pair or user is disabled.',
  "NOPERM User app has no permissions to run the 'evalsha' command",
  'ERR ACL failure in script: No permissions to access a key script: 1, on @user_script:9.',
  "ERR The user executing the script can't run this command or subcommand script: 1, on @user_script:9.",
])('%s is UNAVAILABLE for a caller, who may try again', async (message) => {
  const error = new ReplyError(message);
  await expect(rejectWith(error)).rejects.toMatchObject({ code: 'UNAVAILABLE', retryAfterMs: 1_000, cause: error });
});

test.each([
  'Connection is closed.',
  "Stream isn't writeable and enableOfflineQueue options is false",
  'Reached the max retries per request limit (which is 1). Refer to "maxRetriesPerRequest" option for details.',
  'Command timed out',
  'connect ECONNREFUSED 127.0.0.1:6379',
  'read ECONNRESET',
  'write EPIPE',
  'None of startup nodes is available',
])('%s is UNAVAILABLE, too', async (message) => {
  await expect(rejectWith(new Error(message))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

test.each([
  'WRONGTYPE Operation against a key holding the wrong kind of value',
  'ERR user_script:9: attempt to index a nil value script: 1, on @user_script:9.',
  "ERR unknown command 'FOO'",
])('%s is a fault, and passed on', async (message) => {
  const error = new ReplyError(message);
  await expect(rejectWith(error)).rejects.toBe(error);
});
