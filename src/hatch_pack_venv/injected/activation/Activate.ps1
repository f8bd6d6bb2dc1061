# hatch-pack-venv: Activate.ps1
#
# Run this file in PowerShell: ". bin/Activate.ps1". It names no place: the environment is the one
# the file lies in when it is run.

$_hpvFile = $MyInvocation.MyCommand.Path
if (-not $_hpvFile -or -not (Test-Path -LiteralPath $_hpvFile -PathType Leaf)) {
    [Console]::Error.WriteLine("Activate.ps1: cannot tell where this file lies, nothing was changed")
    Remove-Variable -Name _hpvFile
    return
}
$_hpvBin = Split-Path -Parent -Path ([IO.Path]::GetFullPath($_hpvFile))
Remove-Variable -Name _hpvFile
if ($_hpvBin.Contains([string][IO.Path]::PathSeparator)) {
    [Console]::Error.WriteLine("Activate.ps1: ${_hpvBin}: PATH cannot name this folder, nothing was changed; move the environment")
    Remove-Variable -Name _hpvBin
    return
}

# Leave the environment that this shell is in, whoever's it is.
if ($env:VIRTUAL_ENV -and (Test-Path -LiteralPath Function:deactivate)) {
    deactivate -NonDestructive
}

# Put things back as they were. With -NonDestructive, stay defined.
function global:deactivate([switch] $NonDestructive) {
    if (Test-Path -LiteralPath Variable:_HpvOld) {
        foreach ($name in $global:_HpvOld.Keys) {
            if ($null -ne $global:_HpvOld[$name]) {
                Set-Item -LiteralPath "Env:$name" -Value $global:_HpvOld[$name]
            } elseif (Test-Path -LiteralPath "Env:$name") {
                Remove-Item -LiteralPath "Env:$name"
            }
        }
        Remove-Variable -Name _HpvOld -Scope Global
    }
    if (Test-Path -LiteralPath Function:_hpv_old_prompt) {
        $function:prompt = $function:_hpv_old_prompt
        Remove-Item -LiteralPath Function:_hpv_old_prompt
    }
    if (-not $NonDestructive) {
        Remove-Item -LiteralPath Function:deactivate
    }
}

$global:_HpvOld = @{}
foreach ($_hpvName in "PATH", "PYTHONHOME", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT") {
    $global:_HpvOld[$_hpvName] = [Environment]::GetEnvironmentVariable($_hpvName)
}
if (Test-Path -LiteralPath Env:PYTHONHOME) {
    Remove-Item -LiteralPath Env:PYTHONHOME
}
$env:VIRTUAL_ENV = Split-Path -Parent -Path $_hpvBin
$env:VIRTUAL_ENV_PROMPT = Split-Path -Leaf -Path $env:VIRTUAL_ENV
$_hpvFile = Join-Path -Path $env:VIRTUAL_ENV -ChildPath "pyvenv.cfg"
if (Test-Path -LiteralPath $_hpvFile -PathType Leaf) {
    foreach ($_hpvName in Get-Content -LiteralPath $_hpvFile -Encoding UTF8) {
        if ($_hpvName -match '^prompt\s*=\s*(.+?)\s*$') {
            $env:VIRTUAL_ENV_PROMPT = $Matches[1] -replace '^([''"])(.+)\1$', '$2'
        }
    }
}
# An interpreter that an archive for Windows brings lies in the environment's own folder.
$_hpvFile = Join-Path -Path $env:VIRTUAL_ENV -ChildPath "python.exe"
if (Test-Path -LiteralPath $_hpvFile -PathType Leaf) {
    $_hpvBin = $_hpvBin + [IO.Path]::PathSeparator + $env:VIRTUAL_ENV
}
if ($env:PATH) {
    $env:PATH = $_hpvBin + [IO.Path]::PathSeparator + $env:PATH
} else {
    $env:PATH = $_hpvBin
}
Remove-Variable -Name "_hpvBin", "_hpvFile", "_hpvName"

if (-not $env:VIRTUAL_ENV_DISABLE_PROMPT -and (Test-Path -LiteralPath Function:prompt)) {
    function global:_hpv_old_prompt { "" }
    $function:_hpv_old_prompt = $function:prompt
    function global:prompt {
        "($env:VIRTUAL_ENV_PROMPT) " + (_hpv_old_prompt)
    }
}
