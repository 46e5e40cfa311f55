/* A profile file, so that nobody types certificate paths. */
#ifndef ACTIVITYD_CLIENT_CTL_PROFILE_H
#define ACTIVITYD_CLIENT_CTL_PROFILE_H

#include "client/ctl/ctl.h"

struct profile;

/* Loads `path`, or when it is NULL the first that exists of $ACTIVITYCTL_PROFILE,
 * ./.data/activityctl.conf and
 * ~/.config/activityctl.conf (none is fine, except for a path or variable that was given), and
 * fills the settings with its values, which live as long as the profile. False after saying on
 * stderr what is wrong, with file and line. */
bool profile_load(const char *path, struct profile **profile, struct settings *settings);
void profile_free(struct profile *profile); /* accepts NULL */

/* What a flag gives wins over the profile. */
void settings_override(struct settings *settings, const struct settings *flags);

#endif
