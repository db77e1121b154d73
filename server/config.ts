/** The server's settings. They are defined and checked in settings/, so that those who start a server can check them, too. */
export { readServerSettings as readConfig, type ServerSettings as Config } from '@inferql/settings/server-settings';
