/* The version, for the preprocessor of C and C++. CMake reads it from here. */
#ifndef OTNFM_VERSION_H
#define OTNFM_VERSION_H

#define OTNFM_VERSION_MAJOR 0
#define OTNFM_VERSION_MINOR 1
#define OTNFM_VERSION_PATCH 0
#define OTNFM_VERSION "0.1.0"

#endif
