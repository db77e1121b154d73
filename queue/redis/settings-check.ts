import type { RedisConnection } from './connection.ts';

/**
 * Finds Redis settings that break what the documentation promises, one sentence for an operator per setting. Call it once Redis answers.
 * @returns an empty list if all is well, or if Redis does not allow its settings to be read
 */
export async function checkRedisSetup(redis: RedisConnection): Promise<string[]> {
  let info: string;
  try {
    info = await redis.info();
  } catch (error) {
    return [`The settings of Redis cannot be checked (${String(error)}). Allow its user the command INFO.`];
  }
  const read = (name: string) => new RegExp(`^${name}:([^\r\n]*)`, 'm').exec(info)?.[1];
  const problems: string[] = [];
  if (read('aof_enabled') === '0') {
    problems.push('Redis keeps no append-only file: accepted work is lost if it ends. Set appendonly yes.');
  }
  const policy = read('maxmemory_policy');
  if (policy !== undefined && policy !== 'noeviction' && read('maxmemory') !== '0') {
    problems.push(
      `Redis drops keys when its memory is full (maxmemory-policy ${policy}): queued images and results can vanish without an error. Set maxmemory-policy noeviction.`,
    );
  }
  return problems;
}
