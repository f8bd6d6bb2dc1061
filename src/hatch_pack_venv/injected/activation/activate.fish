# hatch-pack-venv: activate.fish
#
# Source this file in fish: "source bin/activate.fish". It names no place: the environment is the
# one the file lies in when it is sourced.

set -l _hpv_bin
set -l _hpv_file (status filename | string collect)
if test -f "$_hpv_file"
    set _hpv_file (builtin realpath -- "$_hpv_file" | string collect)
    set _hpv_bin (string replace -r '(?s)/[^/]*$' '' -- "$_hpv_file" | string collect)
end
if not string match -q '/*' -- "$_hpv_bin"
    echo "activate.fish: cannot tell where this file lies, nothing was changed;" \
        "source it by its path" >&2
    return 1
end
if string match -q '*:*' -- "$_hpv_bin"
    echo "activate.fish: $_hpv_bin: PATH cannot name a folder with a colon, nothing was changed;" \
        "move the environment" >&2
    return 1
end

# Leave the environment that this shell is in, whoever's it is.
if functions -q deactivate
    and begin
        set -q _HPV_ACTIVE
        or set -q _OLD_VIRTUAL_PATH
    end
    deactivate nondestructive
end

function deactivate -d "Leave the virtual environment, putting things back as they were"
    if set -q _HPV_ACTIVE
        # Some of these names are the ones venv and virtualenv use, so that each can end the other.
        set -e PATH
        set -q _OLD_VIRTUAL_PATH
        and set -gx PATH $_OLD_VIRTUAL_PATH
        set -q _OLD_VIRTUAL_PYTHONHOME
        and set -gx PYTHONHOME $_OLD_VIRTUAL_PYTHONHOME
        set -e VIRTUAL_ENV
        set -q _HPV_OLD_ENV
        and set -gx VIRTUAL_ENV $_HPV_OLD_ENV
        set -e VIRTUAL_ENV_PROMPT
        set -q _HPV_OLD_PROMPT
        and set -gx VIRTUAL_ENV_PROMPT $_HPV_OLD_PROMPT
        if functions -q _old_fish_prompt
            functions -e fish_prompt
            functions -c _old_fish_prompt fish_prompt
            functions -e _old_fish_prompt _hpv_return
        end
    end
    for name in _OLD_VIRTUAL_PATH _OLD_VIRTUAL_PYTHONHOME _OLD_FISH_PROMPT_OVERRIDE \
            _HPV_ACTIVE _HPV_OLD_ENV _HPV_OLD_PROMPT
        set -e $name
    end
    if test "$argv[1]" != nondestructive
        functions -e deactivate
    end
end

set -g _HPV_ACTIVE 1
set -q PATH
and set -g _OLD_VIRTUAL_PATH $PATH
set -q PYTHONHOME
and set -g _OLD_VIRTUAL_PYTHONHOME $PYTHONHOME
set -q VIRTUAL_ENV
and set -g _HPV_OLD_ENV $VIRTUAL_ENV
set -q VIRTUAL_ENV_PROMPT
and set -g _HPV_OLD_PROMPT $VIRTUAL_ENV_PROMPT
set -e PYTHONHOME
set -gx VIRTUAL_ENV (string replace -r '(?s)/[^/]*$' '' -- "$_hpv_bin" | string collect)
test -n "$VIRTUAL_ENV"
or set -gx VIRTUAL_ENV /
set -gx VIRTUAL_ENV_PROMPT (string replace -r '(?s)^.*/' '' -- "$VIRTUAL_ENV" | string collect)
if test -r "$VIRTUAL_ENV/pyvenv.cfg"
    set -l _hpv_name (string replace -rf '^prompt\s*=\s*(.+?)\s*$' '$1' <"$VIRTUAL_ENV/pyvenv.cfg")
    and set -gx VIRTUAL_ENV_PROMPT (string replace -r '^([\'"])(.+)\1$' '$2' -- $_hpv_name[1])
end
# An interpreter that an archive for Windows brings lies in the environment's own folder.
test -r "$VIRTUAL_ENV/python.exe"
and set _hpv_bin $_hpv_bin $VIRTUAL_ENV
set -gx PATH $_hpv_bin $PATH
# An interpreter that cannot start on this system says so in words that tell little.
/bin/sh -c '
if [ -x "$1/python" ]; then
    if "$1/python" -ISc "" >/dev/null 2>&1; then exit; fi
    glibc= needs=
    while IFS= read -r line; do
        case $line in
        *"\\"glibc\\": {"*) glibc=here ;;
        *"\\"version\\": "*) if [ -n "$glibc" ]; then glibc=${line#*: ?}; needs=1; break; fi ;;
        *"\\"files\\": ["*) break ;;
        esac
    done <"${1%/*}/share/venv/metadata/pack-venv.json"
    if [ -n "$needs" ]; then needs=": it needs glibc ${glibc%%\\"*} or later"; fi
    echo "activate: $1/python does not start on this system$needs" >&2
fi
' sh "$_hpv_bin[1]"

if test -z "$VIRTUAL_ENV_DISABLE_PROMPT"; and functions -q fish_prompt
    set -g _OLD_FISH_PROMPT_OVERRIDE $VIRTUAL_ENV
    functions -c fish_prompt _old_fish_prompt
    function _hpv_return
        return $argv[1]
    end
    function fish_prompt
        # The prompt of before may show the status of the last command.
        set -l last $status
        printf '(%s) ' "$VIRTUAL_ENV_PROMPT"
        _hpv_return $last
        _old_fish_prompt
    end
end
