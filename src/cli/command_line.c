/*
 * command_line: getopt_long over the tables of command_line.h.
 *
 * Only the common options may precede the subcommand.  So the meaning of a word never depends on what follows it.
 */
#include "cli/command_line.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/self.h"

enum { CODE_HELP = 1000, CODE_CONFIG, CODE_SET, CODE_OWN };

#define COMMON_OPTIONS 3

int usage_error(const struct subcommand *command, const char *fmt, ...)
{
    char text[512];
    struct error err;
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)error_set(&err, ERROR_USAGE, 0, "%s", text); /* makes it presentable: it quotes the command line */
    (void)fprintf(stderr, "evalx: %s", err.text);
    if (command == NULL)
        (void)fprintf(stderr, "\nTry '%s help'.\n", self_name());
    else
        (void)fprintf(stderr, "\nusage: evalx %s [OPTIONS]%s%s\nTry '%s %s --help'.\n", command->name,
                      command->operands[0] != '\0' ? " " : "", command->operands, self_name(), command->name);
    return EVALX_EXIT_USAGE;
}

int command_failed(const struct error *err)
{
    if (err->field[0] != '\0')
        (void)fprintf(stderr, "evalx: %s: %s\n", err->field, err->text);
    else
        (void)fprintf(stderr, "evalx: %s\n", err->text);
    return err->kind == ERROR_USAGE ? EVALX_EXIT_USAGE : EVALX_EXIT_FAILURE;
}

static void print_option(const char *name, enum option_value kind, const char *value, const char *help)
{
    char left[64];

    (void)snprintf(left, sizeof left, "--%s%s%s%s", name,
                   kind == OPTION_ALONE   ? ""
                   : kind == OPTION_VALUE ? " "
                                          : "[",
                   kind == OPTION_ALONE ? "" : value, kind == OPTION_MAYBE_VALUE ? "]" : "");
    (void)printf("  %-20s  %s\n", left, help);
}

static void print_common_options(bool own_config)
{
    if (!own_config)
        print_option("config", OPTION_VALUE, "FILE", "settings file (default: /etc/evalx/evalx.conf)");
    print_option("set", OPTION_VALUE, "KEY=VALUE", "override one setting; may be repeated");
    print_option("help", OPTION_ALONE, NULL, "show this help");
}

static bool has_option(const struct subcommand *command, const char *name)
{
    for (size_t i = 0; i < command->options_len; i++)
        if (strcmp(command->options[i].name, name) == 0)
            return true;
    return false;
}

static int help_on(const struct subcommand *command)
{
    (void)printf("usage: evalx %s [OPTIONS]%s%s\n\n%s\n", command->name, command->operands[0] != '\0' ? " " : "",
                 command->operands, command->summary);
    if (command->details != NULL)
        (void)printf("%s\n", command->details);
    (void)printf("\nOptions:\n");
    for (size_t i = 0; i < command->options_len; i++) {
        const struct option_spec *option = &command->options[i];
        print_option(option->name, option->kind, option->value, option->help);
    }
    print_common_options(has_option(command, "config"));
    return EVALX_EXIT_OK;
}

static const struct subcommand *find_command(const struct subcommand *const *commands, const char *name)
{
    while (*commands != NULL && strcmp((*commands)->name, name) != 0)
        commands++;
    return *commands;
}

int command_line_help(const struct subcommand *const *commands, const char *name)
{
    if (name != NULL) {
        const struct subcommand *command = find_command(commands, name);
        return command != NULL ? help_on(command) : usage_error(NULL, "unknown command \"%s\"", name);
    }
    (void)printf(
        "usage: evalx [OPTIONS] [COMMAND] [...]\n\n"
        "evalx runs untrusted programs in a sandbox and reports a verdict, the output and the resources used.\n"
        "The default command is server: HTTP on 127.0.0.1:3000.\n\nCommands:\n");
    for (; *commands != NULL; commands++)
        (void)printf("  %-10s  %s\n", (*commands)->name, (*commands)->summary);
    (void)printf("\nOptions of every command:\n");
    print_common_options(false);
    (void)printf("\nSee 'evalx COMMAND --help' and the manual page evalx(1).\n");
    return EVALX_EXIT_OK;
}

static int add_set(struct invocation *invocation, char *word)
{
    struct config scratch = { 0 };
    struct error err;
    char key[64];
    size_t key_len = strcspn(word, "=");

    if (word[key_len] == '\0')
        return usage_error(invocation->command, "--set: expected KEY=VALUE, got \"%s\"", word);
    /* Also for commands that use no settings: a wrong one is a wrong command line everywhere. */
    if (key_len >= sizeof key)
        return usage_error(invocation->command, "--set: expected the key of a setting, got \"%s\"", word);
    memcpy(key, word, key_len);
    key[key_len] = '\0';
    if (config_set(&scratch, key, word + key_len + 1, CONFIG_FLAG, &err) < 0)
        return usage_error(invocation->command, "--set: %s", err.text);
    if (invocation->sets_len == SETS_MAX)
        return usage_error(invocation->command, "--set: at most %d times", SETS_MAX);
    invocation->sets[invocation->sets_len++] = word;
    return EVALX_EXIT_OK;
}

/* The options of the subcommand, then the common ones.  The former win where both have a name (--config of check). */
static void fill_long_options(const struct subcommand *command, struct option ret_options[])
{
    static const struct option common[COMMON_OPTIONS] = {
        { "help", no_argument, NULL, CODE_HELP },
        { "config", required_argument, NULL, CODE_CONFIG },
        { "set", required_argument, NULL, CODE_SET },
    };
    size_t len = 0;

    assert(command->options_len <= OPTIONS_MAX);
    for (size_t i = 0; i < command->options_len; i++) {
        static const int has_value[] = {
            [OPTION_ALONE] = no_argument, [OPTION_VALUE] = required_argument, [OPTION_MAYBE_VALUE] = optional_argument
        };
        ret_options[len++] =
            (struct option){ command->options[i].name, has_value[command->options[i].kind], NULL, CODE_OWN + (int)i };
    }
    for (size_t i = 0; i < COMMON_OPTIONS; i++)
        if (!has_option(command, common[i].name))
            ret_options[len++] = common[i];
    ret_options[len] = (struct option){ 0 };
}

/* Parses argv[1..] for the command of the invocation.  -1 to continue, else the exit status. */
static int parse_options(int argc, char **argv, struct invocation *invocation)
{
    const struct subcommand *command = invocation->command;
    struct option options[OPTIONS_MAX + COMMON_OPTIONS + 1];

    fill_long_options(command, options);
    opterr = 0;
    optind = 0; /* glibc: restart the scan */
    for (int code; (code = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
        int status = EVALX_EXIT_OK;
        if (code == 'h' || code == CODE_HELP)
            return help_on(command);
        if (code == CODE_CONFIG)
            invocation->config_file = optarg;
        else if (code == CODE_SET)
            status = add_set(invocation, optarg);
        else if (code >= CODE_OWN)
            invocation->values[code - CODE_OWN] = optarg != NULL ? optarg : "";
        else if (code == ':')
            status = usage_error(command, "%s needs a value", argv[optind - 1]);
        else if (optopt >= CODE_HELP)
            status = usage_error(command, "%s takes no value", argv[optind - 1]);
        else if (optopt != 0)
            status = usage_error(command, "unknown option -%c", optopt);
        else
            status = usage_error(command, "unknown option %s", argv[optind - 1]);
        if (status != EVALX_EXIT_OK)
            return status;
    }
    invocation->operands = argv + optind;
    invocation->operands_len = argc - optind;
    if (invocation->operands_len < command->operands_min)
        return usage_error(command, "%s is missing", command->operands);
    if (command->operands_max >= 0 && invocation->operands_len > command->operands_max)
        return usage_error(command, "unexpected \"%s\"", invocation->operands[command->operands_max]);
    return -1;
}

/* Parses the options before the subcommand.  Returns their number of words, or -1 with *ret_status. */
static int parse_leading(int argc, char **argv, struct invocation *invocation, int *ret_status)
{
    int at = 1;

    for (; at < argc && argv[at][0] == '-'; at++) {
        bool is_set = strncmp(argv[at], "--set", 5) == 0 && (argv[at][5] == '\0' || argv[at][5] == '=');
        bool is_config = strncmp(argv[at], "--config", 8) == 0 && (argv[at][8] == '\0' || argv[at][8] == '=');
        if (!is_set && !is_config)
            break;
        char *value = strchr(argv[at], '=');
        if (value != NULL)
            value++;
        else if (++at < argc)
            value = argv[at];
        if (value == NULL) {
            *ret_status = usage_error(NULL, "%s needs a value", argv[at - 1]);
            return -1;
        }
        if (is_config)
            invocation->config_file = value;
        else if ((*ret_status = add_set(invocation, value)) != EVALX_EXIT_OK)
            return -1;
    }
    return at - 1;
}

int command_line_run(int argc, char **argv, const struct subcommand *const *commands)
{
    static char *no_words[] = { (char *)"evalx", NULL };
    struct invocation invocation = { .command = commands[0] };
    int status = EVALX_EXIT_OK;

    if (argc < 1) {
        argc = 1;
        argv = no_words;
    }
    int leading = parse_leading(argc, argv, &invocation, &status);
    if (leading < 0)
        return status;
    argc -= leading;
    argv += leading;
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return command_line_help(commands, NULL);
    if (argc > 1 && strcmp(argv[1], "--version") == 0)
        argv[1] = (char *)"version";
    if (argc > 1 && argv[1][0] != '-') {
        invocation.command = find_command(commands, argv[1]);
        if (invocation.command == NULL)
            return usage_error(NULL, "unknown command \"%s\"", argv[1]);
        argc--;
        argv++;
    }
    status = parse_options(argc, argv, &invocation);
    return status >= 0 ? status : invocation.command->run(&invocation);
}
