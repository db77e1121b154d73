/** The WebSocket of browsers, which Node has only from version 22 on. */
export { WebSocket } from 'ws';
