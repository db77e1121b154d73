/** Whether a process with this id runs on this machine, of whichever user. */
export function processExists(pid: number): boolean {
  // Zero and negative numbers name groups of processes.
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
