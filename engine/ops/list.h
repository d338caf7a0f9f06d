/* Every op, sorted: OP(name) is the row ISA(op_name). Included by engine/ops/table.c alone, several times. */
