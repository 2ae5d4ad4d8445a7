# The [prepare] script of C++ with g++: precompiled headers, and a fast linker.  cpp.conf describes their use.
# "$@" is the language's compile command.  EVALX_CPP_TEMPLATES=0 leaves out the plugin below.
# shellcheck shell=sh disable=SC1003,SC2020,SC2086 # $options are words
compiler=$1 options=-pipe
for word; do
    case $word in -std=* | -O*) options="$options $word" ;; esac
done

# g++ instantiates the templates that inline functions of a header use at the end of each program.  For bits/stdc++.h
# that takes half of the compile time.  This plugin instantiates them while the header is compiled; g++ compiles
# programs without it.  docs/notes/PERFORMANCE.md describes its effect on programs.
plugin=
include=$($compiler -print-file-name=plugin)/include
templates=${EVALX_CPP_TEMPLATES:-1}
if [ "$templates" = 1 ] && [ -f "$include/gcc-plugin.h" ]; then
    cat > ahead.cc <<'END'
#include "gcc-plugin.h"
#include "plugin-version.h"
#include "tree.h"
#include "cp/cp-tree.h"
#include "c-family/c-common.h"
#include "c-family/c-pragma.h"

int plugin_is_GPL_compatible;

/* The list of pending templates is static in g++ (cp/pt.cc); the tables of its garbage collector hold both ends. */
struct pending_template { pending_template *next; tinst_level *tinst; };
extern void gt_ggc_mx_pending_template(void *);
extern const ggc_root_tab gt_ggc_r_gt_cp_pt_h[];

static bool is_done(tree decl)
{
    return !TYPE_P(decl) && (DECL_TEMPLATE_SPECIALIZATION(decl) || DECL_TEMPLATE_INSTANTIATED(decl));
}

/* Whether a constructor shares code with its clone depends on whether a program evaluates it early: these must wait. */
static bool must_wait(tree decl)
{
    return TYPE_P(decl) || (TREE_CODE(decl) == FUNCTION_DECL && DECL_DECLARED_CONSTEXPR_P(decl) &&
                            DECL_MAYBE_IN_CHARGE_CDTOR_P(decl));
}

static void instantiate(cpp_reader *)
{
    pending_template **ends[2] = {}, *kept = nullptr;
    int found = 0;
    for (const ggc_root_tab *root = gt_ggc_r_gt_cp_pt_h; root->base; root++)
        if (root->cb == gt_ggc_mx_pending_template)
            ends[found++ & 1] = static_cast<pending_template **>(root->base);
    if (found != 2 || !*ends[0] || !*ends[1])
        fatal_error(input_location, "the list of pending templates is not where it was");
    bool is_first = (*ends[0])->next || !(*ends[1])->next;
    pending_template **first = ends[!is_first], **last = ends[is_first];
    at_eof = 1; /* as at the end of a program, where g++ decides what becomes of a function */
    for (pending_template *each = *first; each; each = each->next) /* the list grows meanwhile */
        if (tree decl = each->tinst->get_node(); !must_wait(decl) && !is_done(decl))
            instantiate_decl(decl, false, false);
    at_eof = 0;
    for (pending_template **each = first; *each;)
        if (is_done((*each)->tinst->get_node()))
            *each = (*each)->next;
        else
            kept = *each, each = &kept->next;
    *last = kept;
}

static void name_pragma(void *, void *) { c_register_pragma("evalx", "instantiate", instantiate); }

int plugin_init(plugin_name_args *self, plugin_gcc_version *compiler)
{
    if (!plugin_default_version_check(compiler, &gcc_version))
        return 1;
    register_callback(self->base_name, PLUGIN_PRAGMAS, name_pragma, nullptr);
    return 0;
}
END
    if $compiler -shared -fPIC -fno-rtti -I"$include" -o ahead.so ahead.cc; then
        plugin="-fplugin=$PWD/ahead.so"
    fi
fi

mkdir bits
for header in bits/stdc++.h iostream; do
    # Error messages name the file that includes a header; programs are called main.cpp, too.
    printf '#include <%s>\n#pragma evalx instantiate\n' "$header" > main.cpp
    if [ -z "$plugin" ] || ! $compiler $plugin $options -x c++-header -o $header.gch main.cpp; then
        plugin=
        echo "#include <$header>" > main.cpp
        $compiler $options -x c++-header -o $header.gch main.cpp
    fi
    # If g++ may not use the precompiled header, it expects the header itself in the same place.
    cp "$($compiler $options -M main.cpp | tr -s ' \\' '\n\n' | grep -m 1 "/$header\$")" $header
done
rm -f main.cpp ahead.cc ahead.so
if [ "$templates" = 1 ] && [ -z "$plugin" ]; then
    echo "note: without gcc-$($compiler -dumpversion | cut -d. -f1)-plugin-dev programs compile more slowly" >&2
fi
# For C files beside C++: cc1 warns of a standard of C++, so this one drops it.
cat > cc1 <<END
#!/bin/sh
for word; do
    shift
    case \$word in -std=*++*) ;; *) set -- "\$@" "\$word" ;; esac
done
exec $($compiler -print-prog-name=cc1) "\$@"
END
chmod 0755 cc1
# The fastest linker, under the name that g++ looks for.
if command -v ld.gold > /dev/null; then cp "$(command -v ld.gold)" ld; fi
