/** Prints the schema as SDL: `node dist/server/print-schema.js > schema.graphql`. */
import { printSchema } from 'graphql';
import { schema } from './schema/schema.ts';

process.stdout.write(`${printSchema(schema)}\n`);
