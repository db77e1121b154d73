import { testHost } from './host.fixture.ts';

testHost({ name: 'Hono', hasWebSockets: true });
