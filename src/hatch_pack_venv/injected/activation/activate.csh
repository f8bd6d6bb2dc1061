# hatch-pack-venv: activate.csh
#
# Source this file in csh or tcsh: "source bin/activate.csh". It names no place: the environment is
# the one the file lies in when it is sourced. csh does not tell scripts their name, but it keeps
# the file open while it reads it; in a subshell, that is not the process called $$.

# Prints four lines: the folder of this file, the environment's, its name, and the name for the
# prompt, which csh expands: what is special there is replaced.
set _hpv_find = ( \
    'PATH=${PATH:+$PATH:}/usr/bin:/bin; top=$1; p=$PPID;' \
    'while [ "$p" -gt 1 ]; do' \
    '  for d in /proc/$p/fd/*; do' \
    '    if [ -f "$d" ]; then' \
    '      f=$(readlink "$d"); case $f in */activate.csh)' \
    '        IFS= read -r line <"$f";' \
    '        if [ "$line" = "# hatch-pack-venv: activate.csh" ]; then break 2; fi;;' \
    '      esac;' \
    '    fi;' \
    '  done;' \
    '  if [ "$p" = "$top" ]; then exit; fi;' \
    '  read -r line </proc/$p/stat; line=${line##*") "? }; p=${line%% *};' \
    'done;' \
    'bin=${f%/*}; env=${bin%/*}; name=${env##*/};' \
    'if [ -r "$env/pyvenv.cfg" ]; then' \
    '  while IFS=" =" read -r key value || [ -n "$key" ]; do' \
    '    if [ "$key" = prompt ]; then name=${value:-$name}; fi;' \
    '  done <"$env/pyvenv.cfg";' \
    'fi;' \
    'case $name in "\""*"\"" | "'"'"'"*"'"'"'") name=${name#?}; name=${name%?};; esac;' \
    'printf "%s\n" "$bin" "${env:-/}" "$name";' \
    'printf "%s\n" "$name" | LC_ALL=C tr "\041\044\045\134\140" _____' \
)
setenv _HPV_FIND "$_hpv_find"
unset _hpv_find
set _hpv_place = ( "`printenv _HPV_FIND | /bin/sh -s $$`" )
unsetenv _HPV_FIND

# csh expands an "else if" that it does not come to: conditions stand apart. The status is that of
# the file's last command, not that of the last command in an "if".
set _hpv_end = "unset _hpv_end"
set _hpv_bad = ""
if ( $#_hpv_place != 4 ) then
    set _hpv_bad = "cannot tell where this file lies"
else
    if ( "$_hpv_place[1]:q" =~ *:* ) then
        set _hpv_bad = "PATH cannot name a folder with a colon (move the environment)"
    endif
endif
if ( "$_hpv_bad" != "" ) then
    /bin/sh -c 'printf "activate.csh: %s, nothing was changed\n" "$1" >&2' sh "$_hpv_bad"
    unset _hpv_bad _hpv_place
    set _hpv_end = "unset _hpv_end; /bin/sh -c 'exit 1'"
else
    unset _hpv_bad

    # Leave the environment that this shell is in, whoever's it is.
    if ( $?_OLD_VIRTUAL_PATH ) then
        if ( "`alias deactivate`" != "" ) eval deactivate nondestructive
    endif

    # Put things back as they were. Some names are the ones venv uses, so that each can end the
    # other. csh looks at the variables of a command before it looks at its condition: all are set.
    alias _hpv_restore 'set path = ( $_hpv_old_path:q ); unsetenv PATH; if ( $_hpv_had[1] ) setenv PATH "$_OLD_VIRTUAL_PATH:q"; if ( $_hpv_had[2] ) setenv PYTHONHOME "$_hpv_old_home:q"; unsetenv VIRTUAL_ENV; if ( $_hpv_had[3] ) setenv VIRTUAL_ENV "$_hpv_old_env:q"; unsetenv VIRTUAL_ENV_PROMPT; if ( $_hpv_had[4] ) setenv VIRTUAL_ENV_PROMPT "$_hpv_old_name:q"; if ( $?_OLD_VIRTUAL_PROMPT ) eval _hpv_restore_prompt; unset _hpv_had _hpv_old_path _hpv_old_home _hpv_old_env _hpv_old_name _OLD_VIRTUAL_PATH'
    alias _hpv_restore_prompt 'set prompt = "$_OLD_VIRTUAL_PROMPT:q"; unset _OLD_VIRTUAL_PROMPT'
    alias _hpv_forget 'unalias deactivate _hpv_restore _hpv_restore_prompt _hpv_forget'
    alias deactivate 'if ( $?_hpv_had ) eval _hpv_restore; if ( "\!:*" != "nondestructive" ) eval _hpv_forget'

    set _hpv_had = ( $?PATH $?PYTHONHOME $?VIRTUAL_ENV $?VIRTUAL_ENV_PROMPT )
    set _hpv_old_path = ( $path:q )
    set _OLD_VIRTUAL_PATH = ""
    set _hpv_old_home = ""
    set _hpv_old_env = ""
    set _hpv_old_name = ""
    if ( $?PATH ) then
        set _OLD_VIRTUAL_PATH = "$PATH:q"
    endif
    if ( $?PYTHONHOME ) then
        set _hpv_old_home = "$PYTHONHOME:q"
    endif
    if ( $?VIRTUAL_ENV ) then
        set _hpv_old_env = "$VIRTUAL_ENV:q"
    endif
    if ( $?VIRTUAL_ENV_PROMPT ) then
        set _hpv_old_name = "$VIRTUAL_ENV_PROMPT:q"
    endif

    unsetenv PYTHONHOME
    setenv VIRTUAL_ENV "$_hpv_place[2]:q"
    setenv VIRTUAL_ENV_PROMPT "$_hpv_place[3]:q"
    if ( "$_OLD_VIRTUAL_PATH" == "" ) then
        setenv PATH "$_hpv_place[1]:q"
    else
        setenv PATH "$_hpv_place[1]:q"":""$_OLD_VIRTUAL_PATH:q"
    endif

    # An interpreter that cannot start on this system says so in words that tell little.
    set _hpv_try = ( \
        'if [ -x "$1/python" ]; then' \
        'if "$1/python" -ISc "" >/dev/null 2>&1; then exit; fi;' \
        'glibc= needs=;' \
        'while IFS= read -r line; do' \
        'case $line in' \
        '*"\"glibc\": {"*) glibc=here ;;' \
        '*"\"version\": "*) if [ -n "$glibc" ]; then glibc=${line#*: ?}; needs=1; break; fi ;;' \
        '*"\"files\": ["*) break ;;' \
        'esac;' \
        'done <"${1%/*}/share/venv/metadata/pack-venv.json";' \
        'if [ -n "$needs" ]; then needs=": it needs glibc ${glibc%%\"*} or later"; fi;' \
        'echo "activate: $1/python does not start on this system$needs" >&2;' \
        'fi;' \
    )
    setenv _HPV_TRY "$_hpv_try"
    unset _hpv_try
    /bin/sh -c 'eval "$_HPV_TRY"' sh "$_hpv_place[1]:q"
    unsetenv _HPV_TRY

    set _hpv_quiet = ""
    if ( $?VIRTUAL_ENV_DISABLE_PROMPT ) then
        set _hpv_quiet = "$VIRTUAL_ENV_DISABLE_PROMPT:q"
    endif
    if ( $?prompt && "$_hpv_quiet" == "" ) then
        set _OLD_VIRTUAL_PROMPT = "$prompt:q"
        set prompt = "($_hpv_place[4]:q) $prompt:q"
    endif
    unset _hpv_quiet _hpv_place
endif
eval "$_hpv_end"
