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
if ($_hpvBin.Contains([IO.Path]::PathSeparator)) {
    [Console]::Error.WriteLine("Activate.ps1: ${_hpvBin}: PATH cannot name this folder, nothing was changed; move the environment")
    Remove-Variable -Name _hpvBin
    return
}

# Leave the environment that this shell is in, whoever's it is.
if (($env:VIRTUAL_ENV) -and (Test-Path -LiteralPath Function:deactivate)) {
    deactivate -NonDestructive
}

# Put things back as they were. With -NonDestructive, stay defined.
function global:deactivate([switch] $NonDestructive) {
    if ($null -ne $global:_HpvOld) {
        foreach ($name in $global:_HpvOld.Keys) {
            # A value of $null removes the variable.
            [Environment]::SetEnvironmentVariable($name, $global:_HpvOld[$name])
        }
        Remove-Variable -Name _HpvOld -Scope Global
    }
    if (Test-Path -LiteralPath Function:_hpv_old_prompt) {
        Copy-Item -LiteralPath Function:_hpv_old_prompt -Destination Function:global:prompt
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
$env:VIRTUAL_ENV = Split-Path -Parent -Path $_hpvBin
$env:VIRTUAL_ENV_PROMPT = Split-Path -Leaf -Path $env:VIRTUAL_ENV
if ($env:PATH) {
    $env:PATH = $_hpvBin + [IO.Path]::PathSeparator + $env:PATH
} else {
    $env:PATH = $_hpvBin
}
[Environment]::SetEnvironmentVariable("PYTHONHOME", $null)
Remove-Variable -Name _hpvBin, _hpvName

if (-not $env:VIRTUAL_ENV_DISABLE_PROMPT) {
    if (Test-Path -LiteralPath Function:prompt) {
        Copy-Item -LiteralPath Function:prompt -Destination Function:global:_hpv_old_prompt
        function global:prompt {
            Write-Host -NoNewline "($env:VIRTUAL_ENV_PROMPT) "
            _hpv_old_prompt
        }
    }
}
