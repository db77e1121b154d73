/** Exit codes on which a process and its supervisor agree. */

/** The process asks for a restart: for example a worker that has grown too large, and has drained. */
export const EXIT_RESTART = 75;
