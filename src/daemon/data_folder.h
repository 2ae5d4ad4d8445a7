/*
 * data_folder: the folder of the SQLite store and the artifact cache.  evalx changes owner and mode of a folder only if
 * it made the folder itself, or found it empty and in no place of the system's.
 */
#pragma once
#include "daemon/privileges.h"

/*
 * As root: creates `folder` (mode 0700, owner: the identity) and its missing parents (mode 0755), or takes the one that
 * exists: one of the identity, which must be empty or hold evalx's files, or an empty one of root.  Any other is an
 * error, and nothing in it is changed.  So is a path that users other than root and the identity can redirect.
 */
int data_folder_prepare(const char *folder, const struct identity *identity, struct error *err);

/*
 * As root: whether data_folder_prepare would succeed and the identity could write there.  Changes nothing.  *ret_exists
 * is true if the folder exists.
 */
int data_folder_check(const char *folder, const struct identity *identity, bool *ret_exists, struct error *err);
