from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('campaigns', '0033_planned_of_sops'),
    ]

    operations = [
        migrations.AlterField(
            model_name='stepblocked',
            name='reason',
            field=models.SmallIntegerField(choices=[(0, ''), (1, 'Customer is on do-not-contact'), (2, 'Cap of touches reached'), (3, 'No guide has this customer any more'), (4, 'The step came too late'), (5, 'Customer already received the mass messages that WeCom allows'), (6, 'Not a friend any more when the guide sent it'), (7, 'WeCom refused it'), (8, "WeCom's 20 seconds were over"), (9, 'WeCom gave no welcome code'), (10, 'Another welcome was already delivered'), (11, 'The customer does not want messages of this kind'), (12, 'A do-not-contact rule holds for this customer'), (13, 'Too soon after another touch'), (14, "WeCom's allowance for this customer is used up"), (15, 'A campaign of higher priority needed the place'), (16, 'Hold-out group: gets nothing, to measure the effect'), (17, 'The condition of the wave does not hold'), (18, 'The content may not be sent any more'), (19, "Brand's hold-out group: gets no campaign, to measure what they all do"), (20, 'The guide has enough to do on that day'), (21, 'The customer had left the SOP before it went out'), (22, 'Joined with a record that gets the same message')]),
        ),
        migrations.AlterField(
            model_name='touch',
            name='reason',
            field=models.SmallIntegerField(choices=[(0, ''), (1, 'Customer is on do-not-contact'), (2, 'Cap of touches reached'), (3, 'No guide has this customer any more'), (4, 'The step came too late'), (5, 'Customer already received the mass messages that WeCom allows'), (6, 'Not a friend any more when the guide sent it'), (7, 'WeCom refused it'), (8, "WeCom's 20 seconds were over"), (9, 'WeCom gave no welcome code'), (10, 'Another welcome was already delivered'), (11, 'The customer does not want messages of this kind'), (12, 'A do-not-contact rule holds for this customer'), (13, 'Too soon after another touch'), (14, "WeCom's allowance for this customer is used up"), (15, 'A campaign of higher priority needed the place'), (16, 'Hold-out group: gets nothing, to measure the effect'), (17, 'The condition of the wave does not hold'), (18, 'The content may not be sent any more'), (19, "Brand's hold-out group: gets no campaign, to measure what they all do"), (20, 'The guide has enough to do on that day'), (21, 'The customer had left the SOP before it went out'), (22, 'Joined with a record that gets the same message')], default=0),
        ),
    ]
