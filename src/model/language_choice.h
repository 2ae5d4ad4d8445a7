/*
 * language_choice: which installed version of a language runs a request (languages/README.md, "Choosing a version").
 */
#pragma once
#include "model/language.h"

/* True for "latest", "*" and "". */
bool version_is_any(struct text version);

/*
 * Chooses among the language `name` and its versions, or takes the version whose id or alias `name` is.  The name
 * for people does as well.  A name may end in a number, as in "python3.11" and "Python (3.11)", which counts if
 * `version` is any.  Blanks around both, a "v" before the number, and upper or lower case make no difference.
 *
 * `image` names an extension (image_extension.h): then the choice is among the variants in that image.  If it is empty,
 * no variant is chosen, unless `name` is the id of one.
 *
 * Returns NULL if no available version serves `version`.  *ret_named is then what the name stands for, or NULL if it is
 * unknown.  If languages->require_available is false, others may run programs: a version that is not available here is
 * chosen if no available one serves.
 */
const struct language *languages_choose(const struct languages *languages, struct text name, struct text version,
                                        struct text image, const struct language **ret_named);

/* What "latest" chooses among the versions of the language that `language` is one of; NULL if none is available. */
const struct language *languages_latest(const struct languages *languages, const struct language *language);

/* True if `language` is one of those that `named` stands for: itself, or a version of it. */
bool language_is_of(const struct language *language, const struct language *named);
/* True if `language` is the variant of one of those. */
bool language_is_variant_of(const struct language *language, const struct language *named);

/* 0, or -1 if `versions` names a newer version than its own, or one of another major version. */
int language_check_versions(const struct language *language, struct error *err);
