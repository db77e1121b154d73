import type { IncomingMessage } from 'node:http';
import { InferqlError } from '@inferql/queue/error-codes';
import type { ExecutionArgs } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { Authenticator } from '../../access/authenticate.ts';
import { authorizeOperation } from '../../access/authorize.ts';
import type { Principal } from '../../access/principal.ts';
import type { Config } from '../../config.ts';
import type { ServerContext } from '../../schema/context.ts';
import { createMask } from '../operations/error-mask.ts';
import { clientAddress } from './proxy.ts';

/**
 * Identifies the caller of an HTTP request before the first byte of its body is read, and checks what that caller may do before
 * anything is executed. Must be the first plugin that handles requests for the endpoint.
 */
export function createHttpAuthentication(
  authenticator: Pick<Authenticator, 'authenticate'>,
  config: Pick<Config, 'introspection' | 'trustProxy'>,
) {
  const callers = new WeakMap<Request, Principal>();
  const mask = createMask(config);

  function authorize({ args, setResultAndStopExecution }: Authorized): void {
    const { schema, document, operationName } = args;
    try {
      authorizeOperation(schema, document, operationName, (args.contextValue as ServerContext).caller);
    } catch (error) {
      setResultAndStopExecution({ errors: [mask(error)] });
    }
  }

  const plugin: Plugin = {
    async onRequestParse({ request, serverContext }) {
      const { req } = serverContext as { req?: IncomingMessage };
      const caller = await authenticator.authenticate({
        authorization: request.headers.get('authorization'),
        address: req && clientAddress(req, config.trustProxy),
        header: (name) => request.headers.get(name) ?? undefined,
      });
      // Only mutations that send images have such bodies.
      if (/^multipart\//i.test(request.headers.get('content-type') ?? '') && !caller.scopes.has('infer')) {
        throw new InferqlError('FORBIDDEN', { message: "Uploads need the scope 'infer'." });
      }
      callers.set(request, caller);
    },
    onExecute: (payload) => authorize(payload as Authorized),
    onSubscribe: (payload) => authorize(payload as Authorized),
  };

  return {
    plugin,

    /** @throws InferqlError UNAUTHENTICATED if the request did not pass the plugin */
    callerOf(request: Request): Principal {
      const caller = callers.get(request);
      if (!caller) throw new InferqlError('UNAUTHENTICATED');
      return caller;
    },
  };
}

interface Authorized {
  args: ExecutionArgs;
  setResultAndStopExecution(result: { errors: ReturnType<ReturnType<typeof createMask>>[] }): void;
}
