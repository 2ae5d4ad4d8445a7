/* language_choice: see the header. */
#include "model/language_choice.h"

#include <string.h>

#include "model/version.h"

enum version_match {
    VERSION_REFUSED,
    VERSION_OLDER, /* an older version that the language file names */
    VERSION_SAME,  /* the same up to the second number, or a name of this version */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct text without_blanks(struct text text)
{
    while (text.len > 0 && strchr(" \t\r\n", text.at[0]) != NULL)
        text = (struct text){ text.at + 1, text.len - 1 };
    while (text.len > 0 && strchr(" \t\r\n", text.at[text.len - 1]) != NULL)
        text.len--;
    return text;
}

static struct text plain_version(struct text version)
{
    version = without_blanks(version);
    if (version.len > 1 && (version.at[0] == 'v' || version.at[0] == 'V') && is_digit(version.at[1]))
        version = (struct text){ version.at + 1, version.len - 1 };
    return version;
}

bool version_is_any(struct text version)
{
    version = plain_version(version);
    return version.len == 0 || text_equal(version, TEXT("*")) || text_equal_ignore_case(version, TEXT("latest"));
}

static bool is_listed(const struct text *list, size_t len, struct text version)
{
    for (size_t i = 0; i < len; i++)
        if (text_equal_ignore_case(list[i], version))
            return true;
    return false;
}

/* By its number, or by one that it begins with. */
static bool names_older(const struct language *language, const struct version *version)
{
    struct version named;

    for (size_t i = 0; i < language->versions_len; i++)
        if (version_parse(language->versions[i], &named) && version_compare_minor(&named, version) == 0)
            return true;
    return false;
}

/* If the own number does not count, only names do. */
static enum version_match serves(const struct language *language, struct text version, bool by_number)
{
    struct version asked, own;

    version = plain_version(version);
    if (version_is_any(version) || text_equal_ignore_case(version, language->version) ||
        is_listed(language->standards, language->standards_len, version))
        return VERSION_SAME;
    if (!by_number || !version_parse(version, &asked) || asked.suffix.len > 0 ||
        !version_parse(language->version, &own))
        return is_listed(language->versions, language->versions_len, version) ? VERSION_SAME : VERSION_REFUSED;
    int order = version_compare_minor(&asked, &own);
    if (order == 0)
        return VERSION_SAME;
    return order < 0 && names_older(language, &asked) ? VERSION_OLDER : VERSION_REFUSED;
}

bool language_is_of(const struct language *language, const struct language *named)
{
    return language == named || (language->base.len == 0 && text_equal(language->of, named->id));
}

bool language_is_variant_of(const struct language *language, const struct language *named)
{
    return language->base.len > 0 && (text_equal(language->base, named->id) || text_equal(language->of, named->id));
}

static bool is_asked_for(const struct language *language, const struct language *named, struct text image)
{
    if (image.len == 0)
        return language_is_of(language, named);
    return language_is_variant_of(language, named) && text_equal(language->image, image);
}

/* 2 without a suffix, 1 with the suffix of [language], 0 with another. */
static int plainness(const struct language *language, const struct language *named)
{
    struct version own, main;

    if (!version_parse(language->version, &own) || own.suffix.len == 0)
        return 2;
    return version_parse(named->version, &main) && text_equal(own.suffix, main.suffix) ? 1 : 0;
}

struct wish {
    const struct language *named;
    struct text name;    /* if it is a name of some versions: only those are candidates */
    struct text version; /* as the client sent it */
    struct text image;   /* of an extension; otherwise empty */
};

struct candidate {
    const struct language *language;
    enum version_match match;
    int score;
};

static bool has_version_name(const struct language *language, struct text name)
{
    return is_listed(language->versions, language->versions_len, name);
}

/* The parts of the score from the most important to the least. */
static struct candidate candidate_of(const struct language *language, const struct wish *wish)
{
    bool is_image = !text_equal(language->image, TEXT("host"));
    bool is_named = language == wish->named || text_equal(language->base, wish->named->id);
    int plain = plainness(language, wish->named);
    struct candidate candidate = { .language = language };

    if (wish->name.len > 0 && !has_version_name(language, wish->name))
        return candidate;
    candidate.match = serves(language, wish->version, plain > 0 || is_named || wish->name.len > 0);
    if (version_is_any(wish->version))
        candidate.score = plain * 2 + is_image;
    else
        candidate.score = is_image * 8 + (candidate.match == VERSION_SAME) * 4 + plain;
    return candidate;
}

/* Among equals the newest is the best, but of those that stand in for an older version the nearest to it. */
static bool is_better(const struct candidate *candidate, const struct candidate *than)
{
    struct version own, other;

    if (than->language == NULL || candidate->score != than->score)
        return than->language == NULL || candidate->score > than->score;
    if (!version_parse(candidate->language->version, &own) || !version_parse(than->language->version, &other))
        return false;
    int order = version_compare(&own, &other);
    return candidate->match == VERSION_OLDER ? order < 0 : order > 0;
}

static const struct language *best_of(const struct languages *languages, const struct wish *wish, bool available_only)
{
    struct candidate best = { 0 };

    for (size_t i = 0; i < languages->len; i++) {
        const struct language *language = &languages->list[i];
        if (!is_asked_for(language, wish->named, wish->image) || (available_only && !language->available))
            continue;
        struct candidate candidate = candidate_of(language, wish);
        if (candidate.match != VERSION_REFUSED && is_better(&candidate, &best))
            best = candidate;
    }
    return best.language;
}

/* By id or alias, or else by the name for people. */
static const struct language *find(const struct languages *languages, struct text name)
{
    const struct language *named = languages_find(languages, name);

    for (size_t i = 0; i < languages->len && named == NULL; i++)
        if (languages->list[i].of.len == 0 && text_equal_ignore_case(languages->list[i].name, name))
            named = &languages->list[i];
    return named;
}

/* "python3.11", "python 3.11", "python:3.11", "Python (3.11)": finds "python", and sets *version if it is any. */
static const struct language *find_with_number(const struct languages *languages, struct text name,
                                               struct text *version)
{
    if (name.len > 0 && name.at[name.len - 1] == ')')
        name.len--;
    struct text number = { name.at + name.len, 0 };
    while (number.at > name.at && (is_digit(number.at[-1]) || number.at[-1] == '.'))
        number = (struct text){ number.at - 1, number.len + 1 };
    name.len -= number.len;
    while (name.len > 0 && strchr(" (:@", name.at[name.len - 1]) != NULL)
        name.len--;
    const struct language *named = number.len > 0 ? find(languages, name) : NULL;
    if (named != NULL && version_is_any(*version))
        *version = number;
    return named;
}

/* "clang" is an alias of C, and a name of some of its versions: as a language it stands for those. */
static bool is_name_of_versions(const struct languages *languages, const struct language *named, struct text name)
{
    for (size_t i = 0; i < languages->len; i++)
        if (language_is_of(&languages->list[i], named) && has_version_name(&languages->list[i], name))
            return true;
    return false;
}

const struct language *languages_choose(const struct languages *languages, struct text name, struct text version,
                                        struct text image, const struct language **ret_named)
{
    struct wish wish = { .version = version, .image = image };

    name = without_blanks(name);
    wish.named = find(languages, name);
    if (wish.named == NULL)
        wish.named = find_with_number(languages, name, &wish.version);
    *ret_named = wish.named;
    if (wish.named == NULL)
        return NULL;
    if (is_name_of_versions(languages, wish.named, name))
        wish.name = name;
    const struct language *best = best_of(languages, &wish, true);
    if (best != NULL || languages->require_available)
        return best;
    bool serves_itself = image.len == 0 && candidate_of(wish.named, &wish).match != VERSION_REFUSED;
    return serves_itself ? wish.named : best_of(languages, &wish, false);
}

const struct language *languages_latest(const struct languages *languages, const struct language *language)
{
    const struct language *named;

    return languages_choose(languages, language->of.len > 0 ? language->of : language->id, TEXT("latest"), TEXT(""),
                            &named);
}

int language_check_versions(const struct language *language, struct error *err)
{
    struct version own, named;

    if (!version_parse(language->version, &own))
        return 0;
    for (size_t i = 0; i < language->versions_len; i++) {
        if (!version_parse(language->versions[i], &named) || named.suffix.len > 0)
            continue;
        if (version_compare_minor(&named, &own) > 0)
            return error_set(err, ERROR_SETUP, 0, "versions: %.40s is newer than %.40s; expected older versions",
                             language->versions[i].at, language->version.at);
        if (named.numbers[0] != own.numbers[0] && !language->one_major)
            return error_set(err, ERROR_SETUP, 0,
                             "versions: %.40s is another major version than %.40s; expected older ones of the same, or "
                             "one_major = yes",
                             language->versions[i].at, language->version.at);
    }
    return 0;
}
