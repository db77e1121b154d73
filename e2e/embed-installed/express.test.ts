import { testHost } from './host.fixture.ts';

testHost({ name: 'Express', hasWebSockets: true });
