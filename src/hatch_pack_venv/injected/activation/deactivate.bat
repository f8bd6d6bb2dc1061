@rem hatch-pack-venv: deactivate.bat
@rem
@rem Put things back as they were before activate.bat.

@if not defined _OLD_VIRTUAL_PATH exit /b 0
@set "PATH=%_OLD_VIRTUAL_PATH%"
@if defined _OLD_VIRTUAL_PYTHONHOME set "PYTHONHOME=%_OLD_VIRTUAL_PYTHONHOME%"
@if defined _OLD_VIRTUAL_PROMPT set "PROMPT=%_OLD_VIRTUAL_PROMPT%"
@set "VIRTUAL_ENV="
@set "VIRTUAL_ENV_PROMPT="
@if defined _HPV_OLD_ENV set "VIRTUAL_ENV=%_HPV_OLD_ENV%"
@if defined _HPV_OLD_PROMPT set "VIRTUAL_ENV_PROMPT=%_HPV_OLD_PROMPT%"
@set "_OLD_VIRTUAL_PATH="
@set "_OLD_VIRTUAL_PYTHONHOME="
@set "_OLD_VIRTUAL_PROMPT="
@set "_HPV_OLD_ENV="
@set "_HPV_OLD_PROMPT="
@exit /b 0
