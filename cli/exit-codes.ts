/** The command's exit codes. */
export const EXIT = {
  /** Success. */
  ok: 0,
  /** Some images failed, or the prediction did not succeed. */
  failed: 1,
  /** The arguments are invalid. */
  usage: 2,
  /** No InferQL server (for commands for operators: no Redis) responds, or it has no model. */
  unreachable: 3,
  /** Interrupted by Ctrl-C or SIGTERM. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_HELP = `
Exit codes:
  0    success
  1    some images failed, or the prediction did not succeed
  2    invalid arguments
  3    no InferQL server responds, or it has no model (commands for operators: no Redis)
  130  interrupted; images in flight are canceled`;

/** Ends the command with a message for people and a code for scripts. */
export class CommandFailure extends Error {
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}
