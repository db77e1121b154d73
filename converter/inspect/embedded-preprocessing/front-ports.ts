/** Name of the input of a front that was cut out. */
export const FRONT_INPUT = 'inferql_front_input';
/** Names of its outputs begin with it; their order is that of the front's ends. */
export const FRONT_OUTPUT = 'inferql_front_output';
