/*
 * bundle_copy: puts files into a bundle, as they are. In the real world only; whoever may open them
 * does, and understands nothing of them.
 */
#ifndef CONFIG_BUNDLE_COPY_H
#define CONFIG_BUNDLE_COPY_H

#include "config/bundle.h"

/* At the end of the bundle, an open file. 0, or errno: the bundle is then as it was. Regular files
   of at most BUNDLE_FILE_BYTES_MAX. */
int bundle_copy(int bundle, struct span path);

#endif
