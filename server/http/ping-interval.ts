/** How often silent subscriptions send a ping: shorter than the time after which proxies close a silent connection. */
export const PING_EVERY_MS = 12_000;
