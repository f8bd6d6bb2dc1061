#!/bin/sh
# @TITLE@: unpacks itself on its first start and runs from there from then on.
# --pack-venv-info tells what is in it, --pack-venv-extract DIRECTORY unpacks it for good;
# all other arguments are the application's. Made by pack-venv.
_pv_head_sha256=@HEAD_SHA256@
_pv_sha256=@SHA256@
_pv_digest=@DIGEST@
_pv_offset=@OFFSET@
_pv_size=@SIZE@
_pv_name=@NAME@
_pv_top=@TOP@
_pv_start=@START@
_pv_python=@PYTHON@
_pv_machine=@MACHINE@
_pv_needs=@NEEDS@
_pv_info=@INFO@

# Everything is read before anything is run: of a head that is cut off nothing is.
_pv_main() {
  case ${1-} in
    --pack-venv-info) _pv_tell; exit ;;
    --pack-venv-extract)
      [ $# -eq 2 ] && [ -n "$2" ] || _pv_fail "--pack-venv-extract takes one directory"
      _pv_extract "$2"
      exit
      ;;
  esac
  if ! _pv_find; then
    _pv_root=$(_pv_unpack) || exit
  fi
  exec "$_pv_root/$_pv_start" "$@"
}

_pv_fail() {
  printf '%s: %s\n' "${_pv_self##*/}" "$1" >&2
  exit 1
}

# The folders that may hold what was unpacked; the next is asked where one cannot be used.
_pv_folder() {
  if [ -n "${HATCH_PACK_VENV_CACHE-}" ]; then
    [ "$1" = 1 ] && _pv_base=$HATCH_PACK_VENV_CACHE
    return
  fi
  case $1 in
    1)
      case ${XDG_CACHE_HOME-} in
        /*) _pv_base=$XDG_CACHE_HOME/pack-venv ;;
        *) case ${HOME-} in /*) _pv_base=${HOME%/}/.cache/pack-venv ;; *) _pv_base= ;; esac ;;
      esac
      ;;
    2)
      _pv_user=$(PATH=${PATH:+$PATH:}/usr/bin:/bin; id -u)
      _pv_base=${TMPDIR:-/tmp}/pack-venv-$_pv_user
      ;;
    *) return 1 ;;
  esac
}

# Nobody else may write what is run: a folder of somebody else is not used.
_pv_trusted() {
  [ -n "${HATCH_PACK_VENV_CACHE-}" ] && return
  if [ "$_pv_n" = 1 ]; then
    [ -O "$_pv_base" ]
    return
  fi
  # All of it in one look: between two of them another folder could take its place.
  (PATH=${PATH:+$PATH:}/usr/bin:/bin; ls -ldn -- "$_pv_base") | {
    IFS=' ' read -r _pv_mode _pv_links _pv_uid _pv_rest
    case $_pv_mode/$_pv_uid in drwx------*/"$_pv_user") ;; *) false ;; esac
  }
}

_pv_is_whole() {
  [ -f "$_pv_root/$_pv_start" ] && [ -f "$_pv_root/share/venv/metadata/pack-venv.json" ]
}

_pv_find() {
  for _pv_n in 1 2; do
    _pv_folder $_pv_n || continue
    _pv_root=$_pv_base/$_pv_name
    if [ -n "$_pv_base" ] && _pv_is_whole && _pv_trusted; then return; fi
  done
  return 1
}

_pv_tell() {
  printf '%s\n' "$_pv_info"
  if _pv_find; then
    printf 'unpacked in    %s\n' "$_pv_root"
  else
    printf 'unpacked in    nothing yet\n'
  fi
}

# What follows runs once. Its functions run in a process of their own: nothing that they set is seen
# by the application.
_pv_prepare() {
  [ -z "${ZSH_VERSION-}" ] || emulate sh
  PATH=${PATH:+$PATH:}/usr/bin:/bin
  # Messages are in English; what names are written in stays, which some programs go by.
  [ -z "${LC_ALL-}" ] || { LC_CTYPE=$LC_ALL; export LC_CTYPE; } 2>/dev/null
  unset TAR_OPTIONS GZIP LC_ALL
  LC_MESSAGES=C
  export PATH LC_MESSAGES
  case $_pv_self in
    -*/*) _pv_self=./$_pv_self ;;
    */*) ;;
    *) if [ -e "$_pv_self" ]; then _pv_self=./$_pv_self; else _pv_self=$(command -v -- "$_pv_self"); fi ;;
  esac
  for _pv_tool in tail wc tar gzip mkdir rm mv ln uname; do
    command -v $_pv_tool >/dev/null || _pv_fail "needs the program $_pv_tool to unpack itself: install it"
  done
  # Containers may have one name, one folder, and the same numbers of processes.
  _pv_me=$(readlink /proc/self/ns/pid 2>/dev/null)
  _pv_me=${_pv_me#*:?}
  _pv_me=$(uname -n)-${_pv_me%?}.$$
  _pv_check
}

_pv_check() {
  _pv_has=$(wc -c <"$_pv_self") || _pv_fail "cannot read itself (as $_pv_self)"
  _pv_has=$((_pv_has))
  [ "$_pv_has" -eq "$_pv_size" ] ||
    _pv_fail "has $_pv_has bytes instead of $_pv_size, so it was cut off or changed on its way: get it again"
  if command -v sha256sum >/dev/null; then
    _pv_sum=sha256sum
  elif command -v shasum >/dev/null; then
    _pv_sum='shasum -a 256'
  else
    _pv_fail "needs sha256sum or shasum to check itself: install one"
  fi
  case $(tail -c +"$_pv_offset" "$_pv_self" | $_pv_sum) in
    "$_pv_sha256"*) ;;
    *) _pv_fail "is damaged: its SHA-256 is not the one it was packed with; get it again" ;;
  esac
}

_pv_unpack() (
  _pv_prepare
  _pv_why=
  for _pv_n in 1 2; do
    _pv_folder $_pv_n && [ -n "$_pv_base" ] || continue
    _pv_root=$_pv_base/$_pv_name
    if ! (umask 077; mkdir -p "$_pv_base") 2>/dev/null || [ ! -w "$_pv_base" ]; then
      _pv_why="$_pv_why$_pv_base cannot be written, "
    elif ! _pv_trusted; then
      _pv_why="$_pv_why$_pv_base belongs to somebody else or is open to others, "
    else
      _pv_guard
      if _pv_take; then
        printf '%s\n' "$_pv_root" 2>/dev/null
        exit 0
      fi
      _pv_clean
    fi
  done
  _pv_fail "cannot be unpacked (${_pv_why%, }): set HATCH_PACK_VENV_CACHE to a folder with room where programs may run"
)

_pv_guard() {
  trap '_pv_clean' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 141' PIPE # who waits for what this prints may have been ended alone
  trap 'exit 143' TERM
}

_pv_clean() {
  [ -z "${_pv_work-}" ] || rm -rf "$_pv_work"
  [ -z "${_pv_lock-}" ] || rm -f "$_pv_lock"
  _pv_work= _pv_lock=
}

# One unpacks and the others wait. The lock only saves work: who finds it forsaken, or waits for too
# long, unpacks as well, and the first to be done is taken: after 30 seconds for an owner that cannot
# be asked, which another machine or container knows, and after two minutes for one that is alive.
_pv_take() {
  for _pv_old in "$_pv_base/.$_pv_name.${_pv_me%.*}".*; do
    _pv_lives "${_pv_old##*.}" || rm -rf "$_pv_old"
  done
  _pv_waits=$_pv_base/.lock-$_pv_name
  _pv_tries=0
  until _pv_is_whole; do
    if [ "$_pv_tries" -ge 1200 ] || ln -s "$_pv_me" "$_pv_waits" 2>/dev/null; then
      _pv_lock=$_pv_waits
      _pv_is_whole || _pv_place
      return
    fi
    _pv_owner=$(readlink "$_pv_waits" 2>/dev/null)
    case $_pv_owner in
      "${_pv_me%.*}".*) _pv_lives "${_pv_owner##*.}" || rm -f "$_pv_waits" ;;
      "") _pv_tries=$((_pv_tries + 300)) ;;
      *) _pv_tries=$((_pv_tries + 3)) ;;
    esac
    sleep 0.1 2>/dev/null || sleep 1
    _pv_tries=$((_pv_tries + 1))
  done
}

# One with this process's own number was before it: a container that was started again.
_pv_lives() {
  [ "$1" != $$ ] && kill -0 "$1" 2>/dev/null
}

_pv_place() {
  case $(uname -m)/$_pv_machine in
    "$_pv_machine/$_pv_machine" | */ | x86_64/i?86 | i?86/i?86 | a*/arm*) ;;
    *) _pv_fail "is for $_pv_machine, and this machine is $(uname -m)" ;;
  esac
  _pv_work=$_pv_base/.$_pv_name.$_pv_me
  _pv_untar || { _pv_is_whole; return; }
  # What cleaners of temporary files have left.
  if [ -e "$_pv_root" ] && ! _pv_is_whole; then mv "$_pv_root" "$_pv_work/old" 2>/dev/null; fi
  _pv_said=$("$_pv_tree/$_pv_python" -I -S -B -c '
import os, sys
try:
    os.rename(sys.argv[1], sys.argv[2])
except OSError as error:
    print(error.strerror)
    sys.exit(3)
' "$_pv_tree" "$_pv_root" 2>&1 </dev/null)
  case $? in
    0) ;;
    3)
      _pv_is_whole && return # another was done before
      _pv_why="$_pv_why$_pv_root: $(_pv_line "$_pv_said"), "
      return 1
      ;;
    126) _pv_why="$_pv_why$_pv_base lets no programs run, "; return 1 ;;
    *) _pv_fail "cannot run its interpreter here (it needs $_pv_needs): $(_pv_line "$_pv_said")" ;;
  esac
}

_pv_untar() {
  unset _pv_said
  _pv_tree=$_pv_work/tree
  rm -rf "$_pv_work"
  mkdir "$_pv_work" "$_pv_tree" 2>/dev/null &&
    _pv_said=$({ tail -c +"$_pv_offset" "$_pv_self" | gzip -dc | tar -xof - -C "$_pv_tree"; } 2>&1)
  if [ $? -ne 0 ]; then
    case ${_pv_said-} in
      *"No space left"*) _pv_said="No space left on device" ;;
    esac
    _pv_why="$_pv_why$_pv_base: $(_pv_line "${_pv_said-no folder can be made in it}"), "
    return 1
  fi
  _pv_tree=$_pv_tree${_pv_top:+/$_pv_top}
}

# The first line of what a program said, without its own punctuation.
_pv_line() {
  printf '%s\n' "$1" | { IFS= read -r _pv_first; printf '%s' "$_pv_first"; }
}

_pv_extract() (
  _pv_to=${1%/}
  case $_pv_to in -*) _pv_to=./$_pv_to ;; esac
  case $_pv_to in */*) _pv_base=${_pv_to%/*}/ ;; *) _pv_base=. ;; esac
  if [ ! -d "$_pv_to" ]; then
    [ ! -e "$_pv_to" ] && [ -n "$_pv_to" ]
  else
    [ -z "$(PATH=${PATH:+$PATH:}/usr/bin:/bin; ls -A -- "$_pv_to")" ]
  fi || _pv_fail "cannot be unpacked into $1, which is there already: name a new directory"
  _pv_prepare
  mkdir -p -- "$_pv_base" 2>/dev/null || _pv_fail "cannot be unpacked: $_pv_base cannot be made"
  _pv_guard
  _pv_why=
  _pv_work=${_pv_base%/}/.pack-venv.$_pv_me
  _pv_untar || _pv_fail "cannot be unpacked (${_pv_why%, })"
  if [ -d "$_pv_to" ]; then rmdir -- "$_pv_to"; fi && mv -- "$_pv_tree" "$_pv_to" ||
    _pv_fail "cannot be unpacked into $1, which cannot be replaced"
)

_pv_self=$0
_pv_main "$@"
exit
