import { defineSettings } from '../define-settings.ts';
import { choice } from '../value-types.ts';

/** Who may use the server. */
export const access = defineSettings({
  auth: {
    name: 'INFERQL_AUTH',
    type: choice(['off', 'off-and-public', 'keys']),
    default: 'off',
    description:
      'Whether callers must say who they are: `keys` asks for API keys, which `inferql keys` makes. `off` is refused if `HOST` is not a loopback address; `off-and-public` lets anyone who reaches the port use everything. See docs/security.md.',
    readBy: ['server', 'launcher'],
  },
});
