/** A text that is the same for as long as this very process lives, and undefined once it is gone (or a zombie). */
export function identifyProcess(pid: number): string | undefined;
/** The command line of a process, or an empty text. */
export function readCommandLine(pid: number): string;
/** Ends a process that is not our child: SIGTERM, then SIGKILL after `graceMs`. `identity` is from identifyProcess. */
export function killForeignProcess(pid: number, identity: string, graceMs: number): Promise<void>;
/** Sends a signal to a process group. Returns whether it had any process. */
export function signalGroup(groupId: number, signal: NodeJS.Signals): boolean;
/** Ends a process group: SIGTERM, then SIGKILL. */
export function endGroup(groupId: number): Promise<void>;
