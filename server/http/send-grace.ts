/** After the waits of a server that shuts down have ended, their responses have this long to be sent. */
export const SEND_GRACE_MS = 1_000;
