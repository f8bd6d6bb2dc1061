# hatch-pack-venv: activate.nu
#
# Use this file in Nushell: "overlay use bin/activate.nu". It names no place: the environment is the
# one the file lies in when it is read (`path self`, Nushell 0.101 or later). "deactivate" hides the
# overlay, which puts everything back as it was.

const bin = path self | path dirname
const root = $bin | path dirname

export-env {
    if ($bin | str contains (char esep)) {
        error make --unspanned {
            msg: $"activate.nu: ($bin): PATH cannot name a folder with a (char esep), nothing was changed; move the environment"
        }
    }
    let config = $root | path join "pyvenv.cfg"
    let chosen = if ($config | path exists) {
        open --raw $config | decode utf-8 | lines | parse --regex '^prompt\s*=\s*(?<text>.+)$'
            | get text | each { str trim | str replace --regex `^(['"])(.+)\1$` '$2' }
    } else {
        []
    }
    let name = $chosen | get --optional 0 | default ($root | path basename)
    let path_name = if "Path" in $env { "Path" } else { "PATH" }
    let old_path = $env | get --optional $path_name | default []
    let old_path = if ($old_path | describe) == "string" {
        $old_path | split row (char esep)
    } else {
        $old_path
    }
    # An interpreter that an archive for Windows brings lies in the environment's own folder.
    let own = if ($root | path join "python.exe" | path exists) { [$bin $root] } else { [$bin] }
    load-env {
        $path_name: ($old_path | prepend $own)
        VIRTUAL_ENV: $root
        VIRTUAL_ENV_PROMPT: $name
    }
    hide-env --ignore-errors PYTHONHOME
    if ($env | get --optional VIRTUAL_ENV_DISABLE_PROMPT | default "" | is-empty) {
        let old_prompt = $env | get --optional PROMPT_COMMAND | default ""
        $env.PROMPT_COMMAND = {||
            let old = if ($old_prompt | describe) == "closure" { do $old_prompt } else { $old_prompt }
            $"\(($name)) ($old)"
        }
    }
}

export alias deactivate = overlay hide activate
