export interface Lock {
  release(): void;
}
/** Takes the lock, or says which process has it. A lock that a killed process left is taken at once. */
export function tryLock(path: string): ({ taken: true } & Lock) | { taken: false; holderPid: number };
/** Takes the lock as soon as its holder releases it or dies; `onWait` is called once if there is something to wait for. */
export function waitForLock(path: string, onWait: (holderPid: number) => void): Promise<Lock>;
