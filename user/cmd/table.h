/* The commands, one row each:
 *
 *     X(id, name, handler, arity, flags, first key, last key, key step, since, group, summary)
 *
 * Include after defining X; cmd.c makes wc_commands[] of it, internal.h the handlers' prototypes and enum wc_cmd_id.
 * Figures and flags are Redis's. Subcommands follow their container. "since" is that of Redis, where the
 * command is theirs.
 */
#define RD_FAST   (WC_CMD_READONLY | WC_CMD_FAST)
#define WR_FAST   (WC_CMD_WRITE | WC_CMD_FAST)
#define WR_GROW   (WC_CMD_WRITE | WC_CMD_DENYOOM)
#define WR_GROW_F (WR_GROW | WC_CMD_FAST)
#define ANY_TIME  (WC_CMD_LOADING | WC_CMD_STALE)
#define CONN      (ANY_TIME | WC_CMD_NOSCRIPT)
#define CONN_AUTH (CONN | WC_CMD_FAST | WC_CMD_NO_AUTH | WC_CMD_ALLOW_BUSY)
#define ADMIN     (CONN | WC_CMD_ADMIN | WC_CMD_DANGEROUS)

/* clang-format off */
#define WC_COMMANDS(X) \
    X(get, "get", wc_cmd_get, 2, RD_FAST, 1, 1, 1, "1.0.0", "string", "Value of a key") \
    X(set, "set", wc_cmd_set, -3, WR_GROW, 1, 1, 1, "1.0.0", "string", "Set a key to a value, with options for expiry and conditions") \
    X(setnx, "setnx", wc_cmd_setnx, 3, WR_GROW_F, 1, 1, 1, "1.0.0", "string", "Set a key only if it does not exist") \
    X(setex, "setex", wc_cmd_setex, 4, WR_GROW, 1, 1, 1, "2.0.0", "string", "Set a key with an expiry in seconds") \
    X(psetex, "psetex", wc_cmd_psetex, 4, WR_GROW, 1, 1, 1, "2.6.0", "string", "Set a key with an expiry in milliseconds") \
    X(getset, "getset", wc_cmd_getset, 3, WR_GROW_F, 1, 1, 1, "1.0.0", "string", "Set a key and return its old value") \
    X(getdel, "getdel", wc_cmd_getdel, 2, WR_FAST, 1, 1, 1, "6.2.0", "string", "Value of a key, which is deleted") \
    X(getex, "getex", wc_cmd_getex, -2, WR_FAST, 1, 1, 1, "6.2.0", "string", "Value of a key, whose expiry may be changed") \
    X(mget, "mget", wc_cmd_mget, -2, RD_FAST, 1, -1, 1, "1.0.0", "string", "Values of several keys") \
    X(mset, "mset", wc_cmd_mset, -3, WR_GROW, 1, -1, 2, "1.0.1", "string", "Set several keys at once") \
    X(msetnx, "msetnx", wc_cmd_msetnx, -3, WR_GROW, 1, -1, 2, "1.0.1", "string", "Set several keys only if none of them exists") \
    X(append, "append", wc_cmd_append, 3, WR_GROW_F, 1, 1, 1, "2.0.0", "string", "Append to the value of a key") \
    X(strlen, "strlen", wc_cmd_strlen, 2, RD_FAST, 1, 1, 1, "2.2.0", "string", "Length of the value of a key") \
    X(getrange, "getrange", wc_cmd_getrange, 4, WC_CMD_READONLY, 1, 1, 1, "2.4.0", "string", "Part of the value of a key") \
    X(substr, "substr", wc_cmd_getrange, 4, WC_CMD_READONLY, 1, 1, 1, "1.0.0", "string", "Old name of GETRANGE") \
    X(setrange, "setrange", wc_cmd_setrange, 4, WR_GROW, 1, 1, 1, "2.2.0", "string", "Overwrite part of the value of a key") \
    X(incr, "incr", wc_cmd_incr, 2, WR_GROW_F, 1, 1, 1, "1.0.0", "string", "Add one to an integer") \
    X(decr, "decr", wc_cmd_decr, 2, WR_GROW_F, 1, 1, 1, "1.0.0", "string", "Subtract one from an integer") \
    X(incrby, "incrby", wc_cmd_incrby, 3, WR_GROW_F, 1, 1, 1, "1.0.0", "string", "Add to an integer") \
    X(decrby, "decrby", wc_cmd_decrby, 3, WR_GROW_F, 1, 1, 1, "1.0.0", "string", "Subtract from an integer") \
    X(incrbyfloat, "incrbyfloat", wc_cmd_incrbyfloat, 3, WR_GROW_F, 1, 1, 1, "2.6.0", "string", "Add to a decimal number") \
    X(del, "del", wc_cmd_del, -2, WC_CMD_WRITE, 1, -1, 1, "1.0.0", "generic", "Delete keys") \
    X(unlink, "unlink", wc_cmd_del, -2, WR_FAST, 1, -1, 1, "4.0.0", "generic", "Delete keys") \
    X(exists, "exists", wc_cmd_exists, -2, RD_FAST, 1, -1, 1, "1.0.0", "generic", "How many of the keys exist") \
    X(touch, "touch", wc_cmd_touch, -2, RD_FAST, 1, -1, 1, "3.2.1", "generic", "Mark keys as used; how many of them exist") \
    X(type, "type", wc_cmd_type, 2, RD_FAST, 1, 1, 1, "1.0.0", "generic", "Type of a key's value") \
    X(expire, "expire", wc_cmd_expire, -3, WR_FAST, 1, 1, 1, "1.0.0", "generic", "Let a key expire in some seconds") \
    X(pexpire, "pexpire", wc_cmd_pexpire, -3, WR_FAST, 1, 1, 1, "2.6.0", "generic", "Let a key expire in some milliseconds") \
    X(expireat, "expireat", wc_cmd_expireat, -3, WR_FAST, 1, 1, 1, "1.2.0", "generic", "Let a key expire at a Unix time in seconds") \
    X(pexpireat, "pexpireat", wc_cmd_pexpireat, -3, WR_FAST, 1, 1, 1, "2.6.0", "generic", "Let a key expire at a Unix time in milliseconds") \
    X(ttl, "ttl", wc_cmd_ttl, 2, RD_FAST, 1, 1, 1, "1.0.0", "generic", "Seconds until a key expires") \
    X(pttl, "pttl", wc_cmd_pttl, 2, RD_FAST, 1, 1, 1, "2.6.0", "generic", "Milliseconds until a key expires") \
    X(expiretime, "expiretime", wc_cmd_expiretime, 2, RD_FAST, 1, 1, 1, "7.0.0", "generic", "Unix time in seconds at which a key expires") \
    X(pexpiretime, "pexpiretime", wc_cmd_pexpiretime, 2, RD_FAST, 1, 1, 1, "7.0.0", "generic", "Unix time in milliseconds at which a key expires") \
    X(persist, "persist", wc_cmd_persist, 2, WR_FAST, 1, 1, 1, "2.2.0", "generic", "Take the expiry off a key") \
    X(ping, "ping", wc_cmd_ping, -1, WC_CMD_FAST, 0, 0, 0, "1.0.0", "connection", "Is the server there?") \
    X(echo, "echo", wc_cmd_echo, 2, ANY_TIME | WC_CMD_FAST, 0, 0, 0, "1.0.0", "connection", "The argument back") \
    X(quit, "quit", wc_cmd_quit, -1, CONN_AUTH, 0, 0, 0, "1.0.0", "connection", "Close the connection") \
    X(select, "select", wc_cmd_select, 2, ANY_TIME | WC_CMD_FAST, 0, 0, 0, "1.0.0", "connection", "Change the database of this connection") \
    X(auth, "auth", wc_cmd_auth, -2, CONN_AUTH, 0, 0, 0, "1.0.0", "connection", "Authenticate this connection") \
    X(hello, "hello", wc_cmd_hello, -1, CONN_AUTH, 0, 0, 0, "6.0.0", "connection", "Choose the protocol, authenticate, name the connection") \
    X(reset, "reset", wc_cmd_reset, 1, CONN_AUTH, 0, 0, 0, "6.2.0", "connection", "Put this connection back into its first state") \
    X(client, "client", wc_cmd_container, -2, WC_CMD_CONTAINER, 0, 0, 0, "2.4.0", "connection", "Commands about connections") \
    X(client_getname, "client|getname", wc_cmd_client_getname, 2, CONN, 0, 0, 0, "2.6.9", "connection", "Name of this connection") \
    X(client_help, "client|help", wc_cmd_client_help, 2, ANY_TIME, 0, 0, 0, "5.0.0", "connection", "Help on the subcommands") \
    X(client_id, "client|id", wc_cmd_client_id, 2, CONN, 0, 0, 0, "5.0.0", "connection", "Number of this connection") \
    X(client_info, "client|info", wc_cmd_client_info, 2, CONN, 0, 0, 0, "6.2.0", "connection", "What the server knows of this connection") \
    X(client_kill, "client|kill", wc_cmd_client_kill, -3, ADMIN, 0, 0, 0, "2.4.0", "connection", "Close connections") \
    X(client_list, "client|list", wc_cmd_client_list, -2, ADMIN, 0, 0, 0, "2.4.0", "connection", "What the server knows of all connections") \
    X(client_setinfo, "client|setinfo", wc_cmd_client_setinfo, 4, CONN, 0, 0, 0, "7.2.0", "connection", "Say which client library this is") \
    X(client_setname, "client|setname", wc_cmd_client_setname, 3, CONN, 0, 0, 0, "2.6.9", "connection", "Name this connection") \
    X(command, "command", wc_cmd_command, -1, ANY_TIME | WC_CMD_CONTAINER, 0, 0, 0, "2.8.13", "server", "Details of all commands") \
    X(command_count, "command|count", wc_cmd_command_count, 2, ANY_TIME, 0, 0, 0, "2.8.13", "server", "Number of commands") \
    X(command_docs, "command|docs", wc_cmd_command_docs, -2, ANY_TIME, 0, 0, 0, "7.0.0", "server", "Documentation of commands") \
    X(command_getkeys, "command|getkeys", wc_cmd_command_getkeys, -3, ANY_TIME, 0, 0, 0, "2.8.13", "server", "Keys among the arguments of a command") \
    X(command_help, "command|help", wc_cmd_command_help, 2, ANY_TIME, 0, 0, 0, "5.0.0", "server", "Help on the subcommands") \
    X(command_info, "command|info", wc_cmd_command_info, -2, ANY_TIME, 0, 0, 0, "2.8.13", "server", "Details of some commands") \
    X(command_list, "command|list", wc_cmd_command_list, -2, ANY_TIME, 0, 0, 0, "7.0.0", "server", "Names of the commands") \
    X(config, "config", wc_cmd_container, -2, WC_CMD_CONTAINER, 0, 0, 0, "2.0.0", "server", "Commands about the configuration") \
    X(config_get, "config|get", wc_cmd_config_get, -3, ADMIN, 0, 0, 0, "2.0.0", "server", "Values of directives") \
    X(config_help, "config|help", wc_cmd_config_help, 2, ANY_TIME, 0, 0, 0, "5.0.0", "server", "Help on the subcommands") \
    X(config_resetstat, "config|resetstat", wc_cmd_config_resetstat, 2, ADMIN, 0, 0, 0, "2.0.0", "server", "Start the statistics of INFO again") \
    X(config_set, "config|set", wc_cmd_config_set, -4, ADMIN, 0, 0, 0, "2.0.0", "server", "Change directives, all or none") \
    X(dbsize, "dbsize", wc_cmd_dbsize, 1, RD_FAST, 0, 0, 0, "1.0.0", "server", "Number of keys in this database") \
    X(debug, "debug", wc_cmd_debug, -2, ADMIN, 0, 0, 0, "1.0.0", "server", "For tests") \
    X(flushall, "flushall", wc_cmd_flushall, -1, WC_CMD_WRITE | WC_CMD_DANGEROUS, 0, 0, 0, "1.0.0", "server", "Delete all keys of all databases") \
    X(flushdb, "flushdb", wc_cmd_flushdb, -1, WC_CMD_WRITE | WC_CMD_DANGEROUS, 0, 0, 0, "1.0.0", "server", "Delete all keys of this database") \
    X(info, "info", wc_cmd_info, -1, ANY_TIME | WC_CMD_DANGEROUS, 0, 0, 0, "1.0.0", "server", "The state of the server, and statistics") \
    X(shutdown, "shutdown", wc_cmd_shutdown, -1, ADMIN | WC_CMD_NO_MULTI | WC_CMD_ALLOW_BUSY, 0, 0, 0, "1.0.0", "server", "Stop the server") \
    X(time, "time", wc_cmd_time, 1, ANY_TIME | WC_CMD_FAST, 0, 0, 0, "2.6.0", "server", "The server's clock")
/* clang-format on */
