# shellcheck shell=bash
# Which Java to run: sets JAVA to the first of $JAVA_HOME, the PATH and /usr/lib/jvm that is new
# enough for Kafka. Used by compose/need, which installs one, and compose/stack, which runs it.

readonly JAVA_VERSION_MIN=17

java_version() { # JAVA -> its feature version: 17 for "17.0.15", 8 for "1.8.0_392"
    local version
    version=$("$1" -version 2>&1 | sed -n 's/.* version "\(1\.\)\{0,1\}\([0-9]*\).*/\2/p' | head -n 1)
    echo "${version:-0}"
}

find_java() { # sets JAVA, or fails and sets JAVA_FOUND to the best that there is
    local candidate version
    JAVA='' JAVA_FOUND='none was found'
    for candidate in "${JAVA_HOME:+$JAVA_HOME/bin/java}" "$(type -P java || true)" /usr/lib/jvm/*/bin/java; do
        [[ -x $candidate ]] || continue
        version=$(java_version "$candidate")
        if ((version >= JAVA_VERSION_MIN)); then
            JAVA=$candidate
            return 0
        fi
        JAVA_FOUND="$candidate is version $version"
    done
    return 1
}
