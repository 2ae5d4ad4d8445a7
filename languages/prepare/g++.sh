# What `evalx prepare` runs for C++ by g++: headers that are compiled already, and a linker.  cpp.conf says how they are
# used.  "$@" is the language's compile command.
# shellcheck shell=sh disable=SC1003,SC2020,SC2086 # $options are words
compiler=$1 options=-pipe
for word; do
    case $word in -std=* | -O*) options="$options $word" ;; esac
done

# Templates that inline functions of a header use are instantiated at the end of each program, and for bits/stdc++.h
# that is half of the time.  A plugin, in the compiler that compiles the header and in no other, has it done there.
plugin=
include=$($compiler -print-file-name=plugin)/include
templates=${EVALX_CPP_TEMPLATES:-1} # the setting cpp_templates
if [ "$templates" = 1 ] && [ -f "$include/gcc-plugin.h" ]; then
    cat > ahead.cc <<'END'
#include "gcc-plugin.h"
#include "plugin-version.h"
#include "tree.h"
#include "cp/cp-tree.h"
#include "c-family/c-common.h"
#include "c-family/c-pragma.h"

int plugin_is_GPL_compatible;

/* The list of what waits to be instantiated is g++'s own (cp/pt.cc), but its garbage collector knows both its ends. */
struct pending_template { pending_template *next; tinst_level *tinst; };
extern void gt_ggc_mx_pending_template(void *);
extern const ggc_root_tab gt_ggc_r_gt_cp_pt_h[];

static bool is_done(tree decl)
{
    return !TYPE_P(decl) && (DECL_TEMPLATE_SPECIALIZATION(decl) || DECL_TEMPLATE_INSTANTIATED(decl));
}

/* Not these: whether a constructor shares its code with its clone depends on whether a program evaluates it early. */
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
    at_eof = 1; /* as at the end of a program: what is to become of a function is decided */
    for (pending_template *each = *first; each; each = each->next) /* more come while it goes on */
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
    # So called, because messages name the files that lead to a header, and main.cpp is where it will be.
    printf '#include <%s>\n#pragma evalx instantiate\n' "$header" > main.cpp
    if [ -z "$plugin" ] || ! $compiler $plugin $options -x c++-header -o $header.gch main.cpp; then
        plugin=
        echo "#include <$header>" > main.cpp
        $compiler $options -x c++-header -o $header.gch main.cpp
    fi
    # Beside it the header itself, which g++ expects there where it finds the other and may not use it.
    cp "$($compiler $options -M main.cpp | tr -s ' \\' '\n\n' | grep -m 1 "/$header\$")" $header
done
rm -f main.cpp ahead.cc ahead.so
if [ "$templates" = 1 ] && [ -z "$plugin" ]; then
    echo "note: without gcc-$($compiler -dumpversion | cut -d. -f1)-plugin-dev programs compile more slowly" >&2
fi
# The fastest linker there is, under the name that g++ looks for.
if command -v ld.gold > /dev/null; then cp "$(command -v ld.gold)" ld; fi
