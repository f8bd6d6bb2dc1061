@rem hatch-pack-venv: activate.bat
@rem
@rem Run this file in cmd.exe: "Scripts\activate.bat". It names no place: the environment is the one
@rem the file lies in when it is run. No blocks: in one, cmd.exe reads what variables hold as code.

@for %%i in ("%~dp0.") do @set "_HPV_BIN=%%~fi"
@if "%_HPV_BIN:;=%"=="%_HPV_BIN%" goto found
@echo activate.bat: PATH cannot name a folder with a semicolon, nothing was changed; move the environment>&2
@set "_HPV_BIN="
@exit /b 1

:found
@rem Leave the environment that this shell is in, whoever's it is. The names are the ones that venv
@rem and virtualenv use, so that each can end the other.
@if defined _OLD_VIRTUAL_PATH call "%~dp0deactivate.bat"

@if defined VIRTUAL_ENV set "_HPV_OLD_ENV=%VIRTUAL_ENV%"
@if defined VIRTUAL_ENV_PROMPT set "_HPV_OLD_PROMPT=%VIRTUAL_ENV_PROMPT%"
@if defined PYTHONHOME set "_OLD_VIRTUAL_PYTHONHOME=%PYTHONHOME%"
@set "PYTHONHOME="
@for %%i in ("%_HPV_BIN%\..") do @set "VIRTUAL_ENV=%%~fi"
@for %%i in ("%_HPV_BIN%\..") do @set "VIRTUAL_ENV_PROMPT=%%~nxi"
@if not exist "%VIRTUAL_ENV%\pyvenv.cfg" goto named
@for /f "usebackq eol=; tokens=1,* delims== " %%i in ("%VIRTUAL_ENV%\pyvenv.cfg") do @if "%%i"=="prompt" set "VIRTUAL_ENV_PROMPT=%%~j"
@if "%VIRTUAL_ENV_PROMPT:~0,1%%VIRTUAL_ENV_PROMPT:~-1%"=="''" set "VIRTUAL_ENV_PROMPT=%VIRTUAL_ENV_PROMPT:~1,-1%"

:named
@if not defined PATH set "PATH=%SystemRoot%\System32"
@set "_OLD_VIRTUAL_PATH=%PATH%"
@rem An interpreter that an archive brings lies in the environment's own folder.
@if exist "%VIRTUAL_ENV%\python.exe" set "_HPV_BIN=%_HPV_BIN%;%VIRTUAL_ENV%"
@set "PATH=%_HPV_BIN%;%PATH%"
@set "_HPV_BIN="
@if defined VIRTUAL_ENV_DISABLE_PROMPT exit /b 0
@if not defined PROMPT set "PROMPT=$P$G"
@set "_OLD_VIRTUAL_PROMPT=%PROMPT%"
@rem A dollar sign is what cmd.exe expands in a prompt; doubled, it is one.
@set "PROMPT=(%VIRTUAL_ENV_PROMPT:$=$$%) %PROMPT%"
@exit /b 0
